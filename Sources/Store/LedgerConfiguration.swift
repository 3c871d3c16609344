/// Where the database lies and how long and large it may get.
package struct LedgerConfiguration: Sendable {
    /// The database file; its directory is made, 0700, where it is missing.
    package var path: String
    /// How long a command waits for another process that is writing.
    package var busyTimeout: Duration
    /// The most the file may hold, so that a flood of jobs cannot fill the disk.
    package var maximumBytes: Int
    /// Whether the whole file is looked through for damage when it is opened, which takes longer the longer it is.
    package var searchesForDamage: Bool
    /// How passwords are hashed from now on; older hashes keep their own parameters until the next log-in.
    package var passwordCost: ScryptCost

    package init(
        path: String,
        busyTimeout: Duration = .seconds(5),
        maximumBytes: Int = 1 << 30,
        searchesForDamage: Bool = true,
        passwordCost: ScryptCost = .standard
    ) {
        self.path = path
        self.busyTimeout = busyTimeout
        self.maximumBytes = maximumBytes
        self.searchesForDamage = searchesForDamage
        self.passwordCost = passwordCost
    }
}
