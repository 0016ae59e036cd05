/**
 * The server's side of authentication. Only hashes are stored: SHA1(SHA1(password)) for mysql_native_password and
 * SHA256(SHA256(password)) for caching_sha2_password, what MySQL keeps in memory for its fast path.
 *
 * Both verify alike: the client sent stage1 xor H(scramble, stored), stage1 being H(password); so xoring that again gives
 * stage1, and H(stage1) must be what is stored. With SHA256(SHA256(password)) at hand the fast path always decides, and neither
 * TLS nor an RSA key is needed for it. An account may have the salted form alone (salted-password.ts): then the client is asked for the password
 * itself, under TLS or encrypted by our RSA key, until SHA256(SHA256(password)) is known.
 */
import { constants, createHash, privateDecrypt, randomBytes, timingSafeEqual, type KeyObject } from 'node:crypto'
import { sha1, sha256, xor } from './auth-client.ts'
import { isSaltedPassword } from './salted-password.ts'

/** Empty buffers: an empty password. Null: the account has no such hash. */
export type StoredPassword = { sha1: Uint8Array | null; sha256: Uint8Array | null; salted?: Uint8Array | null }

export type ServerAuthPlugin = 'mysql_native_password' | 'caching_sha2_password'

export function isServerPlugin(name: string): name is ServerAuthPlugin {
  return name === 'mysql_native_password' || name === 'caching_sha2_password'
}

/** Which plugins the account can be verified by, what we would rather have first. */
export function pluginsOf(stored: StoredPassword | null, preferred: ServerAuthPlugin): ServerAuthPlugin[] {
  const both: ServerAuthPlugin[] =
    preferred === 'mysql_native_password'
      ? ['mysql_native_password', 'caching_sha2_password']
      : ['caching_sha2_password', 'mysql_native_password']
  if (stored === null) return both
  return both.filter((plugin) =>
    plugin === 'mysql_native_password' ? stored.sha1 !== null : stored.sha256 !== null || stored.salted != null,
  )
}

/** The password as it came encrypted by our public key; null: by another one. */
export function decryptedPassword(encrypted: Uint8Array, scramble: Uint8Array, key: KeyObject): Buffer | null {
  try {
    return xor(privateDecrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING }, encrypted), scramble)
  } catch {
    return null
  }
}

/** `clear`: as sent, ended by NUL. Resolves with SHA256(SHA256(password)) when it is the account's. */
export async function verifyClear(clear: Buffer, stored: StoredPassword | null): Promise<Buffer | null> {
  if (clear.length === 0 || clear.at(-1) !== 0) return null
  const password = clear.subarray(0, -1)
  const hashed = sha256(sha256(password))
  const known = stored?.sha256 ?? null
  if (known !== null) return known.length === hashed.length && timingSafeEqual(known, hashed) ? hashed : null
  const salted = stored?.salted ?? null
  return salted !== null && (await isSaltedPassword(password, salted)) ? hashed : null
}

export function storedPassword(password: string): { sha1: Buffer; sha256: Buffer } {
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
