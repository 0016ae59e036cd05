import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { until } from '../../test/kit/until.ts'
import { systemClock } from '../base/clock.ts'

test('a child that is killed leaves what Node compiled of it to those that come after', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sw-child-'))
  try {
    const script = `
      const { runChild } = await import(${JSON.stringify(join(import.meta.dirname, 'child.ts'))})
      runChild({ info() {} }, async () => {}).ready(null)
      process.stdout.write('ready')
      setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      env: { ...process.env, NODE_COMPILE_CACHE: dir },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'exit')
    const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    assert.ok(files.length > 0)
  } finally {
    rmSync(dir, { recursive: true })
  }
})

/** A child whose work never ends by itself; what it printed, and its end. */
async function endless(drainMs: number): Promise<{ child: ChildProcess; said(): string; ended: Promise<unknown[]> }> {
  const script = `
    const { runChild } = await import(${JSON.stringify(join(import.meta.dirname, 'child.ts'))})
    const log = { info: (fields) => console.log(fields.why), error() {} }
    runChild(log, (hurry) => new Promise((resolve) => hurry.addEventListener('abort', () => { console.log('hurries'); resolve() })), ${drainMs}).ready(null)
    console.log('up')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  let text = ''
  child.stdout?.setEncoding('utf8').on('data', (part: string) => (text += part))
  const ended = once(child, 'exit')
  await until('it is up', () => text.includes('up'))
  return { child, said: () => text, ended }
}

test('a child that is told to end has the time that it was given; told again, or by its parent that there is none, it ends at once', async () => {
  const [patient, again, hurried, orphan] = await Promise.all([2_500, 60_000, 60_000, 60_000].map(endless))
  if (patient === undefined || again === undefined || hurried === undefined || orphan === undefined) return
  const from = performance.now()
  for (const { child } of [patient, again, hurried]) child.kill('SIGTERM')
  orphan.child.disconnect()
  for (const one of [patient, again, hurried]) await until('it ends', () => one.said().includes('SIGTERM'))
  // As a supervisor of a group and its parent say it: that is once.
  again.child.kill('SIGTERM')
  await systemClock.sleep(700)
  assert.ok(!again.said().includes('hurries'))
  again.child.kill('SIGTERM')
  hurried.child.send({ hurry: true })
  for (const { ended } of [again, hurried, orphan]) assert.deepEqual(await ended, [0, null])
  assert.ok(performance.now() - from < 10_000)
  assert.deepEqual(await patient.ended, [0, null])
  assert.ok(performance.now() - from > 2_400)
  assert.match(patient.said(), /time to end is over/)
  assert.match(orphan.said(), /channel closed/)
})
