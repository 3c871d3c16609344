/// The options for programs that read what a command prints.
import ArgumentParser
import Notation

struct OutputOptions: ParsableArguments {
    enum Notation: Sendable {
        case json, yaml

        func text(_ value: Value) throws -> String {
            switch self {
            case .json: MachineText.json(value)
            case .yaml: String(try MachineText.yaml(value).drop(suffix: "\n"))
            }
        }
    }

    @Flag(name: .long, help: "Print JSON.")
    var json = false

    @Flag(name: .long, help: "Print YAML.")
    var yaml = false

    var notation: Notation? { json ? .json : yaml ? .yaml : nil }

    /// Prints a value in the notation that was asked for; false where none was.
    func print(_ value: @autoclosure () -> Value) throws -> Bool {
        guard let notation else { return false }
        OutputFile.standard.print(try notation.text(value()))
        return true
    }

    mutating func validate() throws {
        if json && yaml { throw ValidationError("--json and --yaml exclude each other.") }
    }
}

extension String {
    fileprivate func drop(suffix: String) -> Substring { hasSuffix(suffix) ? dropLast(suffix.count) : self[...] }
}
