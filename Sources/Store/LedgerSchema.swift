// The tables, made and changed step by step; a step that was released is never edited.

import GRDB

enum LedgerSchema {
    /// "FARS" in the file's header tells our database from any other.
    static let applicationID: Int32 = 0x4641_5253

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 jobs") { database in
            try database.execute(
                sql: """
                    CREATE TABLE jobs (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        key TEXT NOT NULL UNIQUE,
                        box TEXT NOT NULL,
                        verb TEXT NOT NULL,
                        -- What was asked: CBOR, fixed at acceptance. Targets are small and read with every list; the
                        -- request may be a whole file.
                        targets BLOB NOT NULL,
                        request BLOB NOT NULL,
                        who TEXT NOT NULL,
                        origin TEXT NOT NULL,
                        accepted_at INTEGER NOT NULL,
                        expires_at INTEGER NOT NULL,
                        state TEXT NOT NULL,
                        -- What became of it: CBOR, replaced with each state.
                        outcome BLOB NOT NULL,
                        attempts INTEGER NOT NULL DEFAULT 0,
                        changed_at INTEGER NOT NULL,
                        -- Null while it is unfinished.
                        ended_at INTEGER,
                        -- How to undo it: CBOR, written before it is sent.
                        undo BLOB,
                        undoes INTEGER,
                        undone_by INTEGER
                    ) STRICT;
                    CREATE INDEX jobs_unfinished ON jobs (id) WHERE ended_at IS NULL;
                    CREATE INDEX jobs_ended ON jobs (ended_at) WHERE ended_at IS NOT NULL;
                    """
            )
        }
        migrator.registerMigration("2 accounts") { database in
            try database.execute(
                sql: """
                    CREATE TABLE accounts (
                        name TEXT PRIMARY KEY,
                        role TEXT NOT NULL CHECK (role IN ('owner', 'operator', 'viewer', 'guest')),
                        -- A JSON array of text.
                        labels TEXT NOT NULL,
                        -- scrypt$LOG2N$R$P$SALT$HASH in hex; null where only a link lets in.
                        password TEXT,
                        created_at INTEGER NOT NULL,
                        changed_at INTEGER NOT NULL
                    ) STRICT, WITHOUT ROWID;
                    -- Of every secret below only the SHA-256 is kept.
                    CREATE TABLE sessions (
                        id TEXT PRIMARY KEY,
                        digest BLOB NOT NULL UNIQUE,
                        account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
                        address TEXT NOT NULL,
                        created_at INTEGER NOT NULL,
                        seen_at INTEGER NOT NULL,
                        expires_at INTEGER NOT NULL
                    ) STRICT, WITHOUT ROWID;
                    CREATE INDEX sessions_account ON sessions (account);
                    CREATE TABLE tickets (
                        digest BLOB PRIMARY KEY,
                        session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
                        origin TEXT NOT NULL,
                        role TEXT NOT NULL,
                        expires_at INTEGER NOT NULL
                    ) STRICT, WITHOUT ROWID;
                    CREATE INDEX tickets_session ON tickets (session);
                    CREATE TABLE links (
                        digest BLOB PRIMARY KEY,
                        account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
                        expires_at INTEGER NOT NULL
                    ) STRICT, WITHOUT ROWID;
                    CREATE INDEX links_account ON links (account);
                    """
            )
        }
        migrator.registerMigration("3 audit and epoch") { database in
            try database.execute(
                sql: """
                    CREATE TABLE audit (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        at INTEGER NOT NULL,
                        who TEXT NOT NULL,
                        origin TEXT NOT NULL,
                        action TEXT NOT NULL,
                        target TEXT NOT NULL,
                        outcome TEXT NOT NULL
                    ) STRICT;
                    CREATE INDEX audit_at ON audit (at);
                    CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit
                    BEGIN SELECT RAISE(ABORT, 'an audit entry is never changed'); END;
                    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
                    """
            )
        }
        return migrator
    }
}
