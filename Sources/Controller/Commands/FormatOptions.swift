/// The options for programs of a command that prints records: `--json`, `--yaml`, or a line of their own for each.
import ArgumentParser
import Notation

struct FormatOptions<Kind: RecordKind>: ParsableArguments {
    @OptionGroup var machine: OutputOptions

    @Option(
        name: .long,
        help: "A line for each \(Kind.noun), with fields of --json in braces, such as '\(Kind.example)'."
    )
    var format: String?

    var notation: OutputOptions.Notation? { machine.notation }

    /// Whether a program reads what is printed.
    var isForProgram: Bool { notation != nil || format != nil }

    func validate() throws {
        guard let format else { return }
        if notation != nil { throw ValidationError("--format does not go with --json or --yaml.") }
        do { _ = try LineTemplate(format, of: Kind.self) } catch { throw ValidationError(error.description) }
    }

    /// Prints a value in the notation that was asked for, or its records as the format says; false where a person reads.
    func print(_ value: @autoclosure () -> Value, records: @autoclosure () -> [Value]) throws -> Bool {
        guard let format else { return try machine.print(value()) }
        let template = try LineTemplate(format, of: Kind.self)
        OutputFile.standard.print(try records().map { try template.line($0) })
        return true
    }

    /// Prints a value that is the one record itself.
    func print(record: @autoclosure () -> Value) throws -> Bool { try print(record(), records: [record()]) }

    /// One of several records that are printed as they come; nil where a person reads.
    func text(record: Value) throws -> String? {
        if let format { return try LineTemplate(format, of: Kind.self).line(record) }
        guard let text = try notation?.text(record) else { return nil }
        // YAML's are documents of their own.
        return notation == .yaml ? "---\n" + text : text
    }
}
