import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gateRuleMutations } from './gate.ts'
import { ingestMutations } from './ingest.ts'
import { moveMutations } from './move.ts'
import { switchMutations } from './switch.ts'

const mutations = [...switchMutations, ...ingestMutations, ...moveMutations, ...gateRuleMutations]

const root = join(import.meta.dirname, '..', '..')
const read = (file: string): string => readFileSync(join(root, file), 'utf8')

test('what a mutation takes out of the code stands there exactly once, and its test is there', () => {
  const wrong: string[] = []
  for (const { rule, file, edits, test: testFile, name } of mutations) {
    for (const [text] of edits) {
      const times = read(file).split(text).length - 1
      if (times !== 1) wrong.push(`${rule}: ${times} times in ${file}: ${text}`)
    }
    if (!read(testFile).includes(name)) wrong.push(`${rule}: no test of this name in ${testFile}: ${name}`)
  }
  assert.deepEqual(wrong, [])
})

test('what the pages of rules mark as tried by mutation is in the table, and the other way round', () => {
  const rows = ['switch-rules.md', 'movement-rules.md', 'failure-lore.md'].flatMap((page) =>
    [...read(join('docs', page)).matchAll(/^\|.*?\|([^|]*\|)? `([^`]+\.ts)`: (.+?)( †)? \|$/gm)].map(
      ([, , file = '', name = '', mark]) => ({
        at: `${file}: ${name}`,
        marked: mark !== undefined,
      }),
    ),
  )
  const tried = new Set(mutations.map((mutation) => `${mutation.test}: ${mutation.name}`))
  const shown = new Set(rows.map((row) => row.at))
  assert.deepEqual(rows.filter((row) => row.marked && !tried.has(row.at)).map((row) => row.at), [], 'marked, and not in the table') // prettier-ignore
  assert.deepEqual(rows.filter((row) => !row.marked && tried.has(row.at)).map((row) => row.at), [], 'in the table, and not marked') // prettier-ignore
  assert.deepEqual([...tried].filter((at) => !shown.has(at)), [], 'in the table, and on no page') // prettier-ignore
})
