/** What a client is told. */
import assert from 'node:assert/strict'

export function failsWith(promise: Promise<unknown>, errno: number, message = /./): Promise<void> {
  return assert.rejects(promise, (e: { errno: number; message: string }) => {
    assert.equal(e.errno, errno, e.message)
    assert.match(e.message, message)
    return true
  })
}
