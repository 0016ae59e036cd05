/** Lines of the engine that the models drive (test/models): each taken out is found by thousands of random runs, without a server. */
import { oneSourceMutations } from './move-one-source.ts'
import type { Mutation } from './mutation.ts'

const landing = {
  test: 'test/models/landing.model.test.ts',
  name: 'the rule as designed is right',
  narrow: /^the rule as designed is right$/,
  fails: /has .* and should have|1062/,
}
const merge = {
  test: 'test/models/merge.model.test.ts',
  name: 'the rules are right: splits reversed and merges copied, one lane and several, crashes and collisions anywhere',
  fails: /instead of|stuck/,
}

const streams = {
  test: 'test/models/streams.model.test.ts',
  name: '1.5, 1.6, promise 7: two streams of a merge never wait for one another for ever, whatever goes in parts, is held back, fills what may wait, or dies',
  fails: /stands still/,
}

export const modelMutations: readonly Mutation[] = [
  ...oneSourceMutations,
  {
    rule: '1.4 a key belongs to the generation whose low marker the tail has met last',
    file: 'src/move/touched.ts',
    edits: [['({ marker }) => marker <= this.#met', '({ marker }) => marker < this.#met']],
    ...landing,
  },
  {
    rule: '1.4 a chunk drops the keys of its own generation and of all later ones',
    file: 'src/move/touched.ts',
    edits: [['filter(({ id }) => id >= since)', 'filter(({ id }) => id === since)']],
    ...landing,
  },
  {
    rule: '1.4 a generation is kept while a chunk needs it',
    file: 'src/move/touched.ts',
    edits: [['while (this.#generations[0]?.users === 0)', 'while (this.#generations.length > 0)']],
    ...landing,
  },
  {
    rule: '1.5 places are told apart within a marker',
    file: 'src/move/tables.ts',
    edits: [['return a.marker - b.marker || a.groups - b.groups', 'return a.marker - b.marker']],
    ...landing,
  },
  {
    rule: '1.6 every key of a round is deleted, also those that leave a row',
    file: 'src/move/statements.ts',
    edits: [["(mode === 'several-sources' && table.merged === null)", "(mode !== 'several-sources' && table.merged === null)"]],
    ...merge,
  },
  {
    rule: '1.6 a round that was put back goes under what came since',
    file: 'src/move/pending.ts',
    edits: [['const merged = merge(older, newer)', 'const merged = older']],
    ...merge,
  },
  {
    rule: '1.6 a tail is never starved for ever of what its rows held back wait for',
    file: 'src/move/held-room.ts',
    edits: [['patienceMs * 2 ** this.#steps)) return true', 'patienceMs * 2 ** this.#steps) || nowMs > 0) return true']],
    ...streams,
  },
  {
    rule: '1.5, 1.6 rows held back are not tried beside a transaction in parts',
    file: 'src/move/target-applier.ts',
    edits: [['if (!this.#mayRound(0)) continue', '']],
    ...streams,
    fails: /parts have begun|says that it has/,
  },
  {
    rule: '1.13 a row left out at a statement: the target goes first to a marker behind the look',
    file: 'src/move/target-applier.ts',
    edits: [['    await this.#setIntent({ marker, groups: 0 }, null, this.options.read())\n', '']],
    ...streams,
    fails: /says that it has/,
  },
  {
    rule: '1.13 what the source has given up is left out',
    file: 'src/move/target-applier.ts',
    edits: [['if (still.givenUp === null || clock', 'if (still.givenUp !== null || clock']],
    ...streams,
    fails: /stands still/,
  },
  {
    rule: '1.6 a chunk that met another stream’s row is tried again',
    file: 'src/move/chunk-waits.ts',
    edits: [['return waits.chunks[0] === chunk && ', 'return waits.chunks.length === 0 && ']],
    ...streams,
    fails: /stands still/,
  },
  {
    rule: '1.6 rows held back are kept before the position is stored',
    file: 'src/move/target-applier.ts',
    edits: [['      await this.#heldStore.keep(this.#held, first)\n', '']],
    ...streams,
    fails: /says that it has|instead of/,
  },
  {
    rule: '1.6 what an earlier run has kept is held back',
    file: 'src/move/target-applier.ts',
    edits: [['for (const change of start.held.rows) this.#held.add(change)\n', '']],
    ...streams,
    fails: /says that it has|instead of/,
  },
  {
    rule: '1.6 what is not held any more is not kept',
    file: 'src/move/held-store.ts',
    edits: [['if (held.of(one.change) === undefined) gone.push(one)', 'if (this.#kept.size === 0) gone.push(one)']],
    ...streams,
    fails: /says that it has|instead of|stay kept/,
  },
  {
    rule: '1.6 no place is said to have been reached while a row is held back',
    file: 'src/move/target-applier.ts',
    edits: [['return this.consistent && this.rowsHeldBack === 0', 'return this.consistent']],
    ...streams,
    fails: /says that it has/,
  },
  {
    rule: '1.13 no row stays kept behind a statement',
    file: 'src/move/target-applier.ts',
    edits: [['(this.#stored.ordinal < this.applied.ordinal || this.#heldStore.keeps)', 'this.#stored.ordinal < this.applied.ordinal']],
    ...streams,
    fails: /stay kept/,
  },
  {
    rule: '1.6 streams whose rows wander all the time line up',
    file: 'src/move/target-applier.ts',
    edits: [['        else this.#lineUp()\n', '']],
    test: streams.test,
    name: '1.6, promise 7: a merge whose rows wander all the time comes to boundaries: the streams line up',
    fails: /ms without one/,
  },
  {
    rule: '1.6 what has come behind a row held back is written without it',
    file: 'src/move/target-applier.ts',
    edits: [['return this.pending.count > 0 || (', 'return (this.pending.count > 0 && retryInMs === 0) || (']],
    test: 'test/models/rows-held-back.test.ts',
    name: '1.6, promise 8: a target with a row held back takes no more of what comes behind it than one without: it is written, and only the row waits',
    fails: /at once/,
  },
  {
    rule: '1.6 whose place is taken is found by statements of fewer rows, hundreds in a transaction',
    file: 'src/move/rows-that-pass.ts',
    edits: [['const [statementsMax, bytesMax] = [200, 1 << 20]', 'const [statementsMax, bytesMax] = [1, 1 << 20]']],
    test: 'test/models/rows-held-back.test.ts',
    name: '1.6: of a round that collides all that passes is written by about one statement a row that does not, few transactions, and none that writes nothing',
    fails: /transactions/,
  },
  {
    rule: '1.6 whoever finds it too early for rows held back waits no longer than until it is time, by the same look at the clock',
    file: 'src/move/target-applier.ts',
    edits: [['this.#held.count > 0 && retryInMs > 0 ? [retryInMs]', 'this.#held.count > 0 && this.#retryInMs > 0 ? [this.#retryInMs]']],
    test: 'test/models/rows-held-back.test.ts',
    name: '1.6, promise 7: rows held back are tried when their time has come, whenever the clock is looked at and though nobody rings',
    fails: /ms a look/,
  },
]
