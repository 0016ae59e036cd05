/**
 * The server's side of authentication. Only hashes are stored: SHA1(SHA1(password)) for mysql_native_password and
 * SHA256(SHA256(password)) for caching_sha2_password, what MySQL keeps in memory for its fast path.
 *
 * Both verify alike: the client sent stage1 xor H(scramble, stored), stage1 being H(password); so xoring that again gives
 * stage1, and H(stage1) must be what is stored. With SHA256(SHA256(password)) at hand the fast path always decides, so we never
 * ask for the password itself, and neither TLS nor an RSA key is needed for it.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { sha1, sha256, xor } from './auth-client.ts'

/** Empty buffers: an empty password. */
export type StoredPassword = { sha1: Uint8Array; sha256: Uint8Array }

export type ServerAuthPlugin = 'mysql_native_password' | 'caching_sha2_password'

export function isServerPlugin(name: string): name is ServerAuthPlugin {
  return name === 'mysql_native_password' || name === 'caching_sha2_password'
}

export function storedPassword(password: string): StoredPassword {
  if (password === '') return { sha1: Buffer.alloc(0), sha256: Buffer.alloc(0) }
  return { sha1: sha1(sha1(Buffer.from(password))), sha256: sha256(sha256(Buffer.from(password))) }
}

/** 20 bytes without NUL, `$` and those above 127, as servers make them: some clients treat it as a string. */
export function makeScramble(random: (bytes: number) => Buffer = randomBytes): Buffer {
  const bytes = random(20)
  for (let i = 0; i < bytes.length; i++) {
    const byte = (bytes[i] as number) & 0x7f
    bytes[i] = byte === 0 || byte === 0x24 ? byte + 1 : byte
  }
  return bytes
}

/** True when `response` proves the password. `stored` null: no such account; the same work is done. */
export function verifyResponse(
  plugin: ServerAuthPlugin,
  response: Uint8Array,
  scramble: Uint8Array,
  stored: StoredPassword | null,
): boolean {
  const hash = plugin === 'mysql_native_password' ? (stored?.sha1 ?? decoy.sha1) : (stored?.sha256 ?? decoy.sha256)
  if (response.length === 0) return stored !== null && hash.length === 0
  if (response.length === 1 && response[0] === 0 && plugin === 'caching_sha2_password') return stored !== null && hash.length === 0
  if (hash.length === 0) return false
  const algorithm = plugin === 'mysql_native_password' ? 'sha1' : 'sha256'
  if (response.length !== hash.length) return false
  const mask = plugin === 'mysql_native_password' ? sha1(scramble, hash) : sha256(hash, scramble)
  const proved = createHash(algorithm).update(xor(response, mask)).digest()
  return timingSafeEqual(proved, hash) && stored !== null
}

const decoy = storedPassword(randomBytes(16).toString('hex'))
