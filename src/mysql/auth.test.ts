import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { authResponse, sha1, sha256 } from './auth-client.ts'
import { makeScramble, storedPassword, verifyResponse } from './auth-server.ts'

const plugins = ['mysql_native_password', 'caching_sha2_password'] as const

test('what a client computes from the password, the server verifies from its hashes; any other password is refused', () => {
  fc.assert(
    fc.property(fc.constantFrom(...plugins), fc.string(), fc.string(), (plugin, password, other) => {
      const scramble = makeScramble()
      const stored = storedPassword(password)
      assert.ok(verifyResponse(plugin, authResponse(plugin, password, scramble, false), scramble, stored))
      if (other !== password) assert.ok(!verifyResponse(plugin, authResponse(plugin, other, scramble, false), scramble, stored))
    }),
  )
})

test('an answer is good for its scramble only', () => {
  for (const plugin of plugins) {
    const response = authResponse(plugin, 'secret', makeScramble(), false)
    assert.ok(!verifyResponse(plugin, response, makeScramble(), storedPassword('secret')))
  }
})

test('no account: always refused, an empty answer too', () => {
  for (const plugin of plugins) {
    const scramble = makeScramble()
    assert.ok(!verifyResponse(plugin, Buffer.alloc(0), scramble, null))
    assert.ok(!verifyResponse(plugin, authResponse(plugin, 'x', scramble, false), scramble, null))
  }
})

test('the hash itself does not log in', () => {
  const stored = storedPassword('secret')
  assert.ok(!verifyResponse('mysql_native_password', stored.sha1, makeScramble(), stored))
  assert.ok(!verifyResponse('caching_sha2_password', stored.sha256, makeScramble(), stored))
})

test('stored hashes are those MySQL keeps', () => {
  // PASSWORD('secret') of MySQL and MariaDB.
  assert.equal(Buffer.from(storedPassword('secret').sha1).toString('hex').toUpperCase(), '14E65567ABDB5135D0CFD9A70B3032C179A49EE7')
  assert.ok(sha256(sha256(Buffer.from('secret'))).equals(storedPassword('secret').sha256))
  assert.ok(sha1(sha1(Buffer.from('secret'))).equals(storedPassword('secret').sha1))
})

test('scrambles have no byte that ends a string or a hash', () => {
  for (let i = 0; i < 200; i++) for (const byte of makeScramble()) assert.ok(byte > 0 && byte < 128 && byte !== 0x24)
})
