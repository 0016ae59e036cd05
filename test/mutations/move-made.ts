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
    rule: '1.5 also where the key waits for the end of the copy',
    file: 'src/move/unique-keys.ts',
    edits: [['if (absent.length === 0) return []', 'if (absent.length >= 0) return []']],
    test: generated,
    name: '1.5, 1.12, 1.13 on ${flavour}: so it does while the key waits for the end of the copy',
    fails: /no an outcome/,
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
    rule: '1.6, 1.13 a row that the source has given up is told by any of its columns',
    file: 'src/move/held-rows.ts',
    edits: [['return table.columns.some((column, i) =>', 'return table.columns.slice(0, 1).some((column, i) =>']],
    test: 'src/move/merge-ddl.db.test.ts',
    name: '1.6, 1.13 on ${flavour}: so does one whose unique key is over ${key}, which rows do not carry',
    fails: /no marker/,
  },
  {
    rule: '1.6, 1.13 what is written in two ways is no other value',
    file: 'src/move/held-rows.ts',
    edits: [['if (kind === LiteralKind.float) return', 'if (kind < 0) return']],
    test: 'src/move/held-rows.test.ts',
    name: '1.6, 1.13: a row differs where a value is another, not where it may be written in two ways',
    fails: /./,
  },
  {
    rule: '1.13 the look of a table is read by tokens',
    file: 'src/move/table-look.ts',
    edits: [
      [
        "if (text === '') return text",
        "if (text !== null) return text.split('\\n').filter((line) => !/^ *(?:UNIQUE |FULLTEXT |SPATIAL )?KEY /.test(line)).map((line) => line.replace(/,$/, '')).join('\\n')",
      ],
    ],
    test: 'src/move/table-look.test.ts',
    name: '1.13: names, comments and defaults may hold line ends and what looks like keys',
    fails: /./,
  },
  {
    rule: '1.13 and so is its counter',
    file: 'src/move/table-look.ts',
    edits: [['  let depth = 0\n', "  let depth = 0\n  if (text !== '') return text.replace(/ AUTO_INCREMENT=\\d+/, '')\n"]],
    test: 'src/move/table-look.test.ts',
    name: '1.13: names, comments and defaults may hold line ends and what looks like keys',
    fails: /./,
  },
  {
    rule: '1.9 rows kept of a table that is not moved stop the stream',
    file: 'src/move/xa.ts',
    edits: [['if (table === undefined)\n', 'if (table === undefined) continue\n      if (table === undefined)\n']],
    test: 'src/move/xa.test.ts',
    name: 'promise 4, 1.9: rows kept of a table that the stream does not know stop it, and are not passed over',
    fails: /rejection/,
  },
]
