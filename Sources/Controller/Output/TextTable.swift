/// Lays out rows in aligned columns; the text is already safe to show.
struct TextTable {
    struct Column {
        var title: String
        var right = false
        /// Takes what width is left, and is cut where there is not enough; at most one.
        var flexible = false
    }

    struct Cell {
        var text: String
        var tint: Tint?

        init(_ text: String, _ tint: Tint? = nil) {
            self.text = text
            self.tint = tint
        }
    }

    var columns: [Column]
    var rows: [[Cell]] = []

    /// A flexible column is never cut below this.
    private static let narrowest = 12
    private static let gap = "  "

    /// The lines of the table, its titles first; cut to the terminal's width where it has one.
    ///
    /// `shown` are the rows wanted, all without it; the columns are as wide as all rows demand, so that they stay in
    /// place while one scrolls. The `marked` row is reversed.
    func lines(
        on terminal: Terminal,
        titles: Bool = true,
        shown: Range<Int>? = nil,
        marked: Int? = nil
    ) -> [String] {
        let widths = widths(on: terminal, titles: titles)
        var lines: [String] = []
        if titles { lines.append(line(columns.map { Cell($0.title, .bold) }, widths, terminal)) }
        for index in shown ?? rows.indices {
            if index == marked {
                var plain = terminal
                plain.colours = false
                let text = line(rows[index], widths, plain)
                let filled = terminal.width.map { DisplayWidth.padded(text, to: $0) } ?? text
                lines.append("\u{1B}[\(Tint.reverse.rawValue)m\(filled)\u{1B}[0m")
            } else {
                lines.append(line(rows[index], widths, terminal))
            }
        }
        return lines
    }

    private func widths(on terminal: Terminal, titles: Bool) -> [Int] {
        var widths = columns.map { titles ? DisplayWidth.of($0.title) : 0 }
        for row in rows {
            for (index, cell) in row.enumerated() { widths[index] = max(widths[index], DisplayWidth.of(cell.text)) }
        }
        if let width = terminal.width, let flexible = columns.firstIndex(where: \.flexible) {
            let others = widths.enumerated().filter { $0.offset != flexible }.reduce(0) { $0 + $1.element }
            let left = width - others - Self.gap.count * (columns.count - 1)
            widths[flexible] = min(widths[flexible], max(Self.narrowest, left))
        }
        return widths
    }

    private func line(_ cells: [Cell], _ widths: [Int], _ terminal: Terminal) -> String {
        var parts: [String] = []
        for (index, cell) in cells.enumerated() {
            let text = DisplayWidth.cut(cell.text, to: widths[index])
            let blank = String(repeating: " ", count: max(0, widths[index] - DisplayWidth.of(text)))
            let painted = cell.tint.map { $0.paint(text, terminal.colours) } ?? text
            let isLast = index == cells.count - 1
            parts.append(columns[index].right ? blank + painted : isLast ? painted : painted + blank)
        }
        return parts.joined(separator: Self.gap)
    }
}
