import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

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
