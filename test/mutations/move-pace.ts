/** What holds a copy back (PROTOCOLS 1.14), each with the smallest edit that lets it go on. Headroom: move-acceptance.ts. */
import type { Mutation } from './mutation.ts'

const throttle = { file: 'src/move/throttle.ts', test: 'src/move/throttle.test.ts' }
const metrics = {
  file: 'src/move/pressure.ts',
  test: 'src/move/pace.db.test.ts',
  name: '1.14 each metric above its limit is named; what is unknown is above it',
}

export const paceMutations: readonly Mutation[] = [
  {
    rule: '1.14 a pause holds the copy',
    ...throttle,
    edits: [['if (pausedMs > 0) {', 'if (pausedMs > 1e15) {']],
    name: 'a pause ends at its time, or when it is taken back',
    fails: /./,
  },
  {
    rule: '1.14 the time for which the source was busy is owed',
    ...throttle,
    edits: [['this.#readMsOwed += spent.readMs', 'this.#readMsOwed += 0']],
    name: 'a share of the source: 100 ms of reading at 0.1 are a second',
    fails: /./,
  },
  {
    rule: '1.14 undo records above their limit hold the copy',
    ...metrics,
    edits: [['length > historyLengthMax)', 'length > 1e18)']],
    fails: /undo records|input did not match/,
  },
  {
    rule: '1.14 a replica whose lag is unknown holds the copy',
    ...metrics,
    edits: [['lagMs === null || lagMs > replicaLagMsMax', 'lagMs !== null && lagMs > replicaLagMsMax']],
    fails: /is unknown|input did not match/,
  },
  {
    rule: '1.14 what update says reaches the workflow’s record',
    file: 'src/change/pace.ts',
    edits: [['limits: { ...current?.limits, ...limits }', 'limits: { ...current?.limits }']],
    test: 'test/update.db.test.ts',
    name: '1.14, promise 7: limits of `reshard update` reach the copy that runs, which says by what it is held, and goes on',
    fails: /held by the load/,
  },
]
