import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lookThrough, suspectPaths } from './json-values.ts'

test('strings that may be something else are found at any depth; others are not', () => {
  const paths = suspectPaths(
    {
      a: 'base64:type249:YQ==',
      'b "c"': [1, 'x', { d: 'base64:type253:YQ==' }],
      e: 'base64:type15:YQ==',
      f: 'in base64:type249:',
      g: null,
      h: '2024-02-29',
    },
    '$',
  )
  assert.deepEqual(paths, ['$."a"', '$."b \\"c\\""[2]."d"'])
})

type Rows = Record<string, string | null>[]

/** The answers to its questions, in turn. */
const look = (...answers: (Rows | 'unknown')[]): ReturnType<typeof lookThrough> => {
  return lookThrough(async () => answers.shift() ?? assert.fail('one question more'), 't', 'c')
}
const documents = (count: number, more: Rows = []): Rows => [
  ...Array.from({ length: count }, () => ({ j: '{"at": "base64:type249:YQ==", "by": "base64:type253:YQ=="}' })),
  ...more,
]

test("promise 6: a JSON column of which a scan was cut, or not every document was read, is not said to hold no bytes that can't be made", async () => {
  assert.deepEqual(await look([]), { found: [], whole: true })
  assert.deepEqual(await look('unknown'), { found: [], whole: false })
  assert.deepEqual(await look(documents(3), []), { found: [], whole: true }, 'they are strings, all of them')
  assert.deepEqual(await look(documents(3), 'unknown'), { found: [], whole: false }, 'the scan for what is not there takes longest')
  assert.deepEqual(await look(documents(51), []), { found: [], whole: false }, 'others may have them at other paths')
  const keys = (count: number): Rows => Array.from({ length: count }, () => ({ j: '{"base64:type249:YQ==": 5}' }))
  assert.deepEqual(await look(keys(50)), { found: [], whole: true })
  assert.deepEqual(await look(keys(51)), { found: [], whole: false }, 'these have them as keys, others may have them as values')
  const wide = { j: JSON.stringify(Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`k${i}`, 'base64:type249:YQ==']))) }
  assert.deepEqual(await look([wide], []), { found: [], whole: false }, 'more paths than are asked for')
  const rows = [
    { t0: 'BLOB', t1: 'STRING' },
    { t0: 'BLOB', t1: 'OPAQUE' },
  ]
  assert.deepEqual(await look(documents(3), rows), { found: ['BLOB at $."at"', 'OPAQUE at $."by"'], whole: true })
})
