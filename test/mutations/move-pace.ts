/** What holds a copy back (PROTOCOLS 1.14), each with the smallest edit that lets it go on; what is told of a copy and of what is done again, each with one that makes it wrong. Headroom: move-acceptance.ts. */
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
  {
    rule: '1.5 a position is stored behind each round: after a kill one is done again at most',
    file: 'src/move/target-applier.ts',
    edits: [
      [
        "await failpoints.hit('round.beforePosition')\n    await this.#writePosition(round.stamp)\n",
        "await failpoints.hit('round.beforePosition')\n    if (round.stamp.ordinal % 3 === 0) await this.#writePosition(round.stamp)\n",
      ],
    ],
    test: 'src/move/redone.db.test.ts',
    name: 'issue 4, 6, promise 3 on ${flavour}: killed anywhere in rounds under load, a stream does one round again at most',
    fails: /transactionsRedone/,
  },
  {
    rule: '1.9 row changes of an XA transaction count where they are applied',
    file: 'src/move/tail-consumer.ts',
    edits: [['      this.#groupRows = 0\n    } else if', '    } else if']],
    test: 'src/move/xa.db.test.ts',
    name: 'row changes of an XA transaction count once, where they are applied: none at PREPARE, none of one that is rolled back; those of a reference table for one target',
    fails: /prepared/,
  },
  {
    rule: '1.14 rows of a reference table are told once, not once a target',
    file: 'src/move/progress.ts',
    edits: [['plan.reference ? Math.max(1, targetCount) : 1', 'Math.min(1, targetCount)']],
    test: 'src/move/progress.test.ts',
    name: 'rows of a reference table, which land on every target, are counted once, as they are estimated',
    fails: /strictly deep-equal/,
  },
  {
    rule: '1.14 what earlier runs have copied is told from the first report',
    file: 'src/move/resume.ts',
    edits: [['  for (const { plan } of tables) progress.landedBefore(plan.name, landedSum(landed.of(plan.name), targetCount))\n', '']],
    test: 'src/move/progress.db.test.ts',
    name: 'issue 4, 14 on ${flavour}: rows, bytes and chunks done never fall, whatever is killed, never are more than there are, and stay when the copy is over',
    fails: /rows, bytes and chunks/,
  },
]
