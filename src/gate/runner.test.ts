import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Backend } from './backend.ts'
import type { Core } from './core.ts'
import type { Guard } from './guard.ts'
import type { Relayer } from './relay.ts'
import { Runner } from './runner.ts'
import type { SessionConnections } from './session-connections.ts'
import { SessionSettings } from './settings.ts'
import type { ShardView } from './view.ts'

test('promise 8: a connection on which what SET TRANSACTION said is refused is given back', async () => {
  const query = async (): Promise<never> => await Promise.reject(new Error('refused'))
  const backend = { connection: { query }, dirty: false } as unknown as Backend
  const given: Backend[] = []
  const connections = {
    settings: new SessionSettings(),
    openPlain: async () => await Promise.resolve(backend),
    done: (one: Backend) => given.push(one),
  }
  const runner = new Runner({} as Core, {} as Relayer, connections as unknown as SessionConnections, {} as Guard)
  assert.equal(await runner.openPlain({} as ShardView), backend)
  assert.deepEqual(given, [])
  runner.nextTransaction = ['SET TRANSACTION READ ONLY']
  await assert.rejects(runner.openPlain({} as ShardView), /refused/)
  assert.deepEqual(given, [backend])
  assert.ok(backend.dirty)
})
