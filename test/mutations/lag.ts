/** Lag (DESIGN section 2, promise 6): counted whole, unknown where it was not measured. */
import type { Mutation } from './mutation.ts'

const meter = { file: 'src/move/lag.ts', test: 'src/move/lag.test.ts' } as const
const numbers = 'promise 6: transactions are counted by MariaDB’s numbers only while those count one by one; by places once all was read'

export const lagMutations: Mutation[] = [
  {
    ...meter,
    rule: 'lag counts what nobody has read',
    edits: [['return unread === null ? null : latest.ordinal + unread', 'return latest.ordinal']],
    name: numbers,
    fails: /strictly equal/,
  },
  {
    ...meter,
    rule: 'lag: numbers that do not count one by one prove nothing',
    edits: [['counted !== latest.ordinal - this.#before.ordinal', 'counted < 0']],
    name: numbers,
    fails: /strictly equal/,
  },
  {
    ...meter,
    rule: 'lag: no ETA where the source is faster',
    edits: [[' || applied <= this.#writtenRate', '']],
    name: 'an ETA of a catch-up follows from what the target applies and the source goes on writing; none where the source is faster',
    fails: /it falls behind/,
  },
  {
    rule: 'lag: an answer of long ago is none',
    file: 'src/move/lag.ts',
    edits: [['const freshMs = 5_000', 'const freshMs = 1e9']],
    test: 'src/move/lag.db.test.ts',
    name: 'promise 6: nothing is known before the source was asked, nor when it has not answered for long',
    fails: /an old answer/,
  },
  {
    rule: 'lag: no marker has come through, so its age is unknown, which blocks a switch',
    file: 'src/switch/check.ts',
    edits: [['if (lag.markerAgeMs === null)', 'if (lag.markerAgeMs === undefined)']],
    test: 'src/switch/check.db.test.ts',
    name: 'promise 6: unknown is not zero: no lag, an old lag, an old report, none at all',
    fails: /deep-equal/,
  },
]
