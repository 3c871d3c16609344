/// What `farseed user list` and `farseed user audit` print.
import Foundation
import Notation
import Seedbox
import Store

enum UserText {
    static func value(_ account: StoredAccount, sessions: Int) -> Value {
        [
            "name": .string(account.name), "role": .string(account.role.rawValue),
            "labels": .array(account.labels.map { .string($0) }), "password": .bool(account.hasPassword),
            "sessions": .int(Int64(sessions)), "created_at": .int(account.createdAt),
            "changed_at": .int(account.changedAt),
        ]
    }

    static func value(_ entry: AuditEntry) -> Value {
        [
            "id": .int(entry.id), "at": .int(entry.at), "who": .string(entry.who), "origin": .string(entry.origin),
            "action": .string(entry.action), "target": .string(entry.target), "outcome": .string(entry.outcome),
        ]
    }

    static func lines(_ accounts: [StoredAccount], sessions: [String: Int], on terminal: Terminal) -> [String] {
        guard !accounts.isEmpty else { return ["No users yet; the first start of `farseed serve` makes an owner."] }
        var table = TextTable(columns: [
            .init(title: "NAME"), .init(title: "ROLE"), .init(title: "PASSWORD"), .init(title: "SESSIONS", right: true),
            .init(title: "SINCE"), .init(title: "LABELS", flexible: true),
        ])
        table.rows = accounts.map { account in
            [
                .init(visible(account.name)), .init(account.role.rawValue),
                .init(account.hasPassword ? "set" : "none", account.hasPassword ? nil : .faint),
                .init(String(sessions[account.name] ?? 0)), .init(Amounts.time(account.createdAt / 1000)),
                .init(visible(account.labels.joined(separator: ", "), atMost: 200)),
            ]
        }
        return table.lines(on: terminal)
    }

    static func lines(_ entries: [AuditEntry], on terminal: Terminal) -> [String] {
        guard !entries.isEmpty else { return ["Nothing was done yet."] }
        var table = TextTable(columns: [
            .init(title: "WHEN"), .init(title: "WHO"), .init(title: "ACTION"), .init(title: "OUTCOME"),
            .init(title: "FROM"), .init(title: "TARGET", flexible: true),
        ])
        table.rows = entries.map { entry in
            [
                .init(Amounts.time(entry.at / 1000)), .init(visible(entry.who, atMost: 40)),
                .init(visible(entry.action, atMost: 40)),
                .init(visible(entry.outcome, atMost: 40), entry.outcome == "ok" ? .green : .red),
                .init(visible(entry.origin, atMost: 60)), .init(visible(entry.target, atMost: 300)),
            ]
        }
        return table.lines(on: terminal)
    }
}
