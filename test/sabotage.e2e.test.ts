/**
 * The demonstration's checks are shown to see what they look for: each harm done on purpose ends it with code 1, named; without
 * one it ends with 0. `npm run sabotage` (SHARDWRIGHT_SABOTAGE_ALL=1) walks all of it; here the two harms that need most, each of
 * which is named alone: the other checks find nothing.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { sabotages } from '../src/demo/sabotage.ts'
import type { Sabotage } from '../src/demo/sabotage.ts'
import { endServersUnder, processDir } from './kit/servers.ts'

const verdicts: Readonly<Record<Sabotage, RegExp>> = {
  'lose-row': /^FAILED {2}lost: row op -?\d+ was acknowledged and is not there/m,
  'double-row': /^FAILED {2}doubled: row op -?\d+ is there 2 times/m,
  'wrong-shard': /^FAILED {2}wrong shard: row op -?\d+ of user \d+ stands on/m,
  error: /^FAILED {2}error: \d+ errors? at the client/m,
  'slow-switch': /^FAILED {2}slow switch: 1 → 2 switchtraffic/m,
}
const all = process.env['SHARDWRIGHT_SABOTAGE_ALL'] !== undefined
const walked = all ? sabotages : (['wrong-shard', 'slow-switch'] as const)

test('the demonstration ends with 0 when nothing is harmed', { timeout: 120_000, skip: !all && 'npm run sabotage' }, async () => {
  const { code, text } = await demo([])
  assert.equal(code, 0, text)
  assert.match(text, /Nothing lost, nothing doubled, nothing on a wrong shard, no error at the client/)
})

for (const sabotage of walked) {
  test(`sabotage ${sabotage}: the demonstration ends with 1 and names it`, { timeout: 120_000 }, async () => {
    const { code, text } = await demo(['--sabotage', sabotage])
    assert.equal(code, 1, text)
    assert.match(text, new RegExp(`sabotage: ${sabotage}:`))
    assert.match(text, verdicts[sabotage])
    const other = Object.entries(verdicts).filter(([name, verdict]) => name !== sabotage && verdict.test(text))
    // A row moved to a wrong shard is nothing else; a fault of the connections may only show as errors.
    assert.deepEqual(
      other.map(([name]) => name),
      [],
      text,
    )
  })
}

async function demo(args: readonly string[]): Promise<{ code: number | null; text: string }> {
  const dir = join(processDir(), `demo-${args.at(-1) ?? 'whole'}`)
  mkdirSync(dir, { recursive: true })
  const entry = join(import.meta.dirname, '..', 'src', 'main', 'demo.ts')
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      entry,
      '--exit',
      '--rows',
      '5000',
      '--steps',
      '1,2',
      '--quiet-ms',
      '500',
      '--writes',
      '100',
      '--reads',
      '100',
      '--data-dir',
      join(dir, 'd'),
      ...args,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => void (text += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => void (text += chunk.toString()))
  try {
    const code = await new Promise<number | null>((done) => child.once('close', done))
    return {
      code,
      text: text
        .split('\n')
        .filter((line) => !/ ·  *\d+ operations, 0 errors/.test(line))
        .slice(-60)
        .join('\n'),
    }
  } finally {
    if (child.exitCode === null) child.kill('SIGKILL')
    endServersUnder(dir)
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 })
  }
}
