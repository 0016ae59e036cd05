import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { identify, isAlive } from './process-identity.ts'

const watch = join(import.meta.dirname, 'parent-watch.ts')
const child = `const { watchParent } = await import(${JSON.stringify(watch)}); watchParent({ onGone: () => process.exit(0) }); console.log('pid ' + process.pid); setInterval(() => {}, 1e6)`

for (const [sign, stdio] of [
  ['its channel', "['ignore', 'inherit', 'ignore', 'ipc']"],
  ['its parent’s number', "['ignore', 'inherit', 'ignore']"],
] as const) {
  test(`a child ends within 2 s when its parent is killed -9, told by ${sign}`, { timeout: 20_000 }, async () => {
    const parentCode = `require('child_process').spawn(process.execPath, ['--input-type=module', '-e', ${JSON.stringify(child)}], { stdio: ${stdio}, detached: true }); setInterval(() => {}, 1e6)`
    const parent = spawn(process.execPath, ['-e', parentCode], { stdio: ['ignore', 'pipe', 'inherit'] })
    parent.stdout.setEncoding('utf8')
    const [line] = (await once(parent.stdout, 'data')) as [string]
    const orphan = identify(Number(/pid (\d+)/.exec(line)?.[1]))
    assert.ok(orphan, line)
    parent.kill('SIGKILL')
    await once(parent, 'exit')
    const limit = performance.now() + 2_000
    while (isAlive(orphan) && performance.now() < limit) await new Promise((resolve) => setTimeout(resolve, 20))
    const outlived = isAlive(orphan)
    if (outlived) process.kill(orphan.pid, 'SIGKILL')
    assert.equal(outlived, false)
  })
}
