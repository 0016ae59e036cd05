import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { findPort } from './find-port.ts'

test('a free port is taken as wanted, a held one moves on, one to skip is skipped', async () => {
  const holder = createServer().listen(0, '127.0.0.1')
  await once(holder, 'listening')
  const held = (holder.address() as { port: number }).port
  try {
    const next = await findPort(held)
    assert.ok(next > held)
    assert.ok((await findPort(held, 200, new Set([next]))) > next)
    await assert.rejects(findPort(held, 1), { code: 'SW-LOCAL-006' })
  } finally {
    holder.close()
  }
  await once(holder, 'close')
  assert.equal(await findPort(held), held)
  assert.ok((await findPort(0)) > 0)
})
