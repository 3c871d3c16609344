// Where jobs are kept. Another engine takes SQLite's place by meeting this protocol.

package import Seedbox

/// A durable list of jobs: what it has returned from is kept, whatever ends next.
package protocol JobQueue: Sendable {
    /// Keeps a new job and returns it with its id; or returns the job that has its key.
    ///
    /// The job that it undoes is marked in the same commit, or the problem is `conflict`. More than
    /// `maximumUnfinished` jobs are `refused`.
    func accept(_ job: Job, maximumUnfinished: Int) async throws -> (job: Job, isNew: Bool)

    /// Unfinished jobs with a higher id, in ascending order; without arguments and recipes, as `jobs`.
    func unfinished(after id: Int64, limit: Int) async throws -> [Job]

    /// Keeps the jobs' states and attempts, all or none; returns the ids that had ended before and were left alone.
    func save(_ jobs: [Job]) async throws -> Set<Int64>

    /// Keeps how to undo an unfinished job.
    func note(_ undo: UndoRecipe, for id: Int64) async throws

    /// Ends a job that was not sent yet; a problem where there is none or it was.
    func cancel(_ id: Int64, by who: String, at now: Int64) async throws -> Job

    func job(_ id: Int64) async throws -> Job?
    func job(key: String) async throws -> Job?
    /// The newest done job that added this torrent by its file, as far as it is kept still.
    func addition(of hash: InfoHash, to box: String) async throws -> Job?
    /// Without arguments and recipes, which may be large.
    func jobs(_ filter: JobFilter) async throws -> [Job]

    /// How many jobs there are in each state.
    func counts() async throws -> [JobState.Name: Int]

    /// Deletes jobs that ended before `time`, and the oldest beyond `keeping` ended ones; returns how many.
    func forget(endedBefore time: Int64, keeping: Int) async throws -> Int
}

/// Which jobs to list; an unset part does not narrow.
package struct JobFilter: Sendable, Hashable {
    package var box: String?
    package var who: String?
    package var states: Set<JobState.Name>?
    package var isUndoable = false
    /// Only older ones than this id: the next page.
    package var before: Int64?
    /// The newest come first.
    package var limit: Int

    package init(limit: Int = 100) {
        self.limit = limit
    }
}
