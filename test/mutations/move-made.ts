/** Values that servers make by themselves, each rule with the smallest edit that removes it. */
import type { Mutation } from './mutation.ts'

const generated = 'src/move/generated-keys.db.test.ts'

export const madeMutations: readonly Mutation[] = [
  {
    rule: '1.5 a generated column in a unique key is made alike on both sides',
    file: 'src/move/unique-keys.ts',
    edits: [['return made === null ? part : { ...part, made }', 'return made === null ? part : part']],
    test: generated,
    name: '1.5 on ${flavour}: a stream does not begin on a table whose unique key is over a generated column that is made otherwise there',
    fails: /SW-MOVE-037/,
  },
  {
    rule: '1.5 also by way of another generated column',
    file: 'src/move/made-values.ts',
    edits: [['open.push(...namesIn(expression))', '']],
    test: generated,
    name: '1.5 on ${flavour}: a stream does not begin on a table whose unique key is over a generated column that is made otherwise there',
    fails: /column g/,
  },
  {
    rule: '1.12 and is of a type that holds the other',
    file: 'src/move/target-columns.ts',
    edits: [
      [
        'if (source.nullable && !target.nullable) return',
        'if (source.generated) return null\n  if (source.nullable && !target.nullable) return',
      ],
    ],
    test: generated,
    name: '1.5 on ${flavour}: a stream does not begin on a table whose unique key is over a generated column that is made otherwise there',
    fails: /./,
  },
  {
    rule: '1.12 what another flavour prints otherwise is asked of it',
    file: 'src/move/unique-keys.ts',
    edits: [
      [
        'return keysOfTargetOnly([...source.keys, ...there], lacking)',
        'return keysOfTargetOnly([...source.keys, ...there].slice(0, source.keys.length), lacking)',
      ],
    ],
    test: generated,
    name: "1.5, 1.12 from ${from}: the other flavour prints expressions otherwise: it is asked how it prints the source's",
    fails: /4 rows/,
  },
]
