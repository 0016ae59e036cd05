import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { identify, isAlive, signalIfAlive } from './process-identity.ts'

test('a process is known by its start time, not by its number alone', async () => {
  const self = identify(process.pid)
  assert.ok(self)
  assert.ok(isAlive(self))
  assert.equal(isAlive({ ...self, startTime: `${self.startTime}0` }), false)
  const child = spawn('sleep', ['600'])
  await once(child, 'spawn')
  const identity = identify(child.pid ?? 0)
  assert.ok(identity)
  assert.equal(signalIfAlive({ ...identity, startTime: 'another' }, 'SIGKILL'), false)
  assert.ok(isAlive(identity))
  const ended = once(child, 'exit')
  assert.equal(signalIfAlive(identity, 'SIGKILL'), true)
  await ended
  assert.equal(isAlive(identity), false)
  assert.equal(identify(child.pid ?? 0), null)
})

test('a program’s name with blanks and parentheses does not confuse', async () => {
  const child = spawn(process.execPath, ['-e', "process.title = 'a) S 1 (b'; setInterval(() => {}, 1e6); console.log('up')"], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  try {
    await once(child.stdout, 'data')
    const first = identify(child.pid ?? 0)
    assert.ok(first)
    assert.match(first.startTime, /^[0-9a-f]{8}\/\d+$/)
  } finally {
    child.kill('SIGKILL')
  }
})
