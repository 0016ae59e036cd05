/** Lines of the engine that the models drive (test/models): each taken out is found by thousands of random runs, without a server. */
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

export const modelMutations: readonly Mutation[] = [
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
]
