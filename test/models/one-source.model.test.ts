import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runOneSource } from './one-source.model.ts'
import { seedCount } from './seeds.ts'

const first = Number(process.env['FIRST'] ?? 1)

test('1.2–1.5: a target with one source holds, whenever it stands between rounds, the source’s rows at X, whatever goes in parts, lands late, is thrown away, or dies', async () => {
  const count = seedCount(60)
  for (let seed = first; seed < first + count; seed++) {
    const story: string[] = []
    const wrong = await runOneSource(seed, (line) => story.push(line))
    assert.equal(wrong, null, [`seed ${seed} (again: FIRST=${seed} SEEDS=1)`, ...story.slice(-40), String(wrong)].join('\n  '))
  }
  console.log(`  seeds ${first} to ${first + count - 1}: nothing wrong`)
})
