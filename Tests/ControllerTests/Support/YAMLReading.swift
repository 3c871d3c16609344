/// Reads YAML back with the library that others would use.
import Yams

enum YAMLReading {
    static func string(_ text: String, _ key: String) throws -> String? {
        try Yams.compose(yaml: text)?.mapping?[Node(key)]?.string
    }
}
