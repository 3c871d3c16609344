/// The lanes of a call of `exec` (Docs/Wire.md).
package enum ExecLane {
    package static let input: UInt8 = 0
    package static let output: UInt8 = 1
    package static let errors: UInt8 = 2
}
