import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seedCount } from './seeds.ts'
import { runSwitchCode } from './switch.code.ts'

const first = Number(process.env['FIRST'] ?? 1)

test('3: the switch’s own code keeps promises 1, 2, 5 and 9 whatever stops, wakes up late or gets no answer', async () => {
  const count = seedCount(100)
  let switches = 0
  for (let seed = first; seed < first + count; seed++) {
    const story: string[] = []
    const result = await runSwitchCode(seed, (line) => story.push(line))
    assert.equal(result.broken, null, [`seed ${seed} (again: FIRST=${seed} SEEDS=1)`, ...story.slice(-60), result.broken].join('\n  '))
    switches += result.switches
  }
  console.log(`  seeds ${first} to ${first + count - 1}: nothing wrong, ${switches} switches`)
  assert.ok(switches * 5 > count, `${switches} switches in ${count} runs: those that never switch prove nothing`)
})
