/// What the web server asks of the controller for its HTTP answers.
package import Notation

package protocol WebAPI: Sendable {
    /// `{"boxes": [{"name": …}]}`.
    func boxes() async throws -> Value
    /// `{epoch, seq, full}`; nil where no box has the name.
    func torrents(of box: String) async throws -> Value?
    /// Figures of the rest of the controller as Prometheus text; each line ends with a newline.
    func metrics() async -> String
}
