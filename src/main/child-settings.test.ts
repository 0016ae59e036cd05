import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { childEnvironment, nodeFlags } from './child-settings.ts'

test('promise 8: buffers that a mover has done with are given back to the system, though small ones among them stay', () => {
  // Segments of a copy by ten streams (stream.ts), each followed by a few bytes that live on.
  const script = `
    const few = []
    let buffers = []
    for (let n = 0; n < 200; n++) { buffers.push(Buffer.alloc(500_000, 1)); few.push(Buffer.allocUnsafeSlow(5_000).fill(1)) }
    const before = process.memoryUsage.rss()
    buffers = null
    gc()
    setTimeout(() => console.log(before - process.memoryUsage.rss()), 200)`
  const { stdout } = spawnSync(process.execPath, [...nodeFlags.mover, '--expose-gc', '-e', script], {
    env: { ...process.env, ...childEnvironment.mover },
    encoding: 'utf8',
  })
  assert.ok(Number(stdout) > 80e6, `${stdout} bytes of 100,000,000`)
})
