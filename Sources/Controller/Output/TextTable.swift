/// Lays out rows in aligned columns; the text is already safe to show.
struct TextTable {
    struct Column {
        var title: String
        var right = false
        /// Takes what width is left, and is cut where there is not enough; at most one.
        var flexible = false
        /// On a narrow terminal the column with the highest number is left out first; 0 never.
        var expendable = 0
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

    /// Columns are left out before the flexible one is cut below this.
    private static let narrowest = 20
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
        var kept = Array(columns.indices)
        var widths = naturalWidths(titles: titles)
        if let width = terminal.width { fit(&kept, &widths, into: width) }
        func line(_ cells: [Cell], _ terminal: Terminal) -> String {
            self.line(kept.map { ($0, cells[$0]) }, widths, terminal)
        }
        var lines: [String] = []
        if titles { lines.append(line(columns.map { Cell($0.title, .bold) }, terminal)) }
        for index in shown ?? rows.indices {
            if index == marked {
                var plain = terminal
                plain.colours = false
                let text = line(rows[index], plain)
                let filled = terminal.width.map { DisplayWidth.padded(text, to: $0) } ?? text
                lines.append("\u{1B}[\(Tint.reverse.rawValue)m\(filled)\u{1B}[0m")
            } else {
                lines.append(line(rows[index], terminal))
            }
        }
        return lines
    }

    /// What each column takes where there is no edge.
    private func naturalWidths(titles: Bool) -> [Int] {
        var widths = columns.map { titles ? DisplayWidth.of($0.title) : 0 }
        for row in rows {
            for (index, cell) in row.enumerated() { widths[index] = max(widths[index], DisplayWidth.of(cell.text)) }
        }
        return widths
    }

    /// Leaves columns out and cuts the flexible one until a line fits.
    private func fit(_ kept: inout [Int], _ widths: inout [Int], into width: Int) {
        guard let flexible = columns.firstIndex(where: \.flexible) else { return }
        func left() -> Int {
            let others = kept.filter { $0 != flexible }.reduce(0) { $0 + widths[$1] + Self.gap.count }
            return width - others
        }
        while left() < min(widths[flexible], Self.narrowest),
            let next = kept.filter({ columns[$0].expendable > 0 }).max(by: {
                columns[$0].expendable < columns[$1].expendable
            })
        {
            kept.removeAll { $0 == next }
        }
        widths[flexible] = min(widths[flexible], max(1, left()))
    }

    private func line(_ cells: [(column: Int, cell: Cell)], _ widths: [Int], _ terminal: Terminal) -> String {
        var parts: [String] = []
        for (place, (index, cell)) in cells.enumerated() {
            let text = DisplayWidth.cut(cell.text, to: widths[index])
            let blank = String(repeating: " ", count: max(0, widths[index] - DisplayWidth.of(text)))
            let painted = cell.tint.map { $0.paint(text, terminal.colours) } ?? text
            let isLast = place == cells.count - 1
            parts.append(columns[index].right ? blank + painted : isLast ? painted : painted + blank)
        }
        return parts.joined(separator: Self.gap)
    }
}
