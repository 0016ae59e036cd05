/** A source that lost the end of its log (docs/decisions/031): each rule with the smallest edit that removes it. */
import type { Mutation } from './mutation.ts'

const lost = 'src/move/failover-lost.db.test.ts'
const leftOut = { test: lost, name: 'a row was left out of a chunk for a transaction that is lost: the stream does not go on without it' }

export const failoverMutations: readonly Mutation[] = [
  {
    rule: '1.10 nor one that lacks what was read for what shows on a target',
    file: 'src/move/source-start.ts',
    edits: [['shownOn({ position: stored.position, seen }) as Position', 'stored.position as Position']],
    ...leftOut,
    fails: /./,
  },
  {
    rule: '1.10 a landing stores what was read, where it left rows out',
    file: 'src/move/target-applier.ts',
    edits: [['(key) => drop(key) && (dropped = true)', 'drop']],
    ...leftOut,
    fails: /./,
  },
  {
    rule: '1.10 an intent stores what was read',
    file: 'src/move/target-applier.ts',
    edits: [['if (read !== this.#seen) statements.push', 'if (read === null) statements.push']],
    test: lost,
    name: 'a part of a round is of a transaction that is lost: the stream does not go on without it',
    fails: /./,
  },
  {
    rule: '1.10, 1.9 rows of an XA transaction are kept with what was read',
    file: 'src/move/xa.ts',
    edits: [['let statements = [read]', 'let statements: string[] = []']],
    test: lost,
    name: 'rows of an XA transaction are kept whose PREPARE is lost: the stream does not go on without it',
    fails: /./,
  },
  {
    rule: '1.10 a run keeps what earlier ones had read',
    file: 'src/move/seen.ts',
    edits: [['.filter((one) => !positionContains(position, one))', '.filter((one) => positionContains(position, one))']],
    test: 'src/move/seen.test.ts',
    name: '1.10: what shows on a target is its position, and all that was read beyond it',
    fails: /./,
  },
  {
    rule: '1.10 nor is such a replica made the primary',
    file: 'src/change/set-primary.ts',
    edits: [[', shown)', ', { ...shown, seen: [] })']],
    test: 'src/change/replicas.db.test.ts',
    name: 'a replica that misses what a stream has read is refused, though the old primary is given up',
    fails: /./,
    whole: true,
  },
]
