/**
 * What a client answers to a scramble.
 *
 * mysql_native_password: SHA1(password) xor SHA1(scramble · SHA1(SHA1(password))).
 * sha256_password: the password itself, protected as below. MySQL names it at random for accounts that do not exist.
 * caching_sha2_password: SHA256(password) xor SHA256(SHA256(SHA256(password)) · scramble); when the server has not cached the
 * account it wants the password itself: NUL-ended over TLS or a Unix socket, else xored with the scramble and encrypted by the server's RSA key (OAEP).
 */
import { constants, createHash, publicEncrypt } from 'node:crypto'

export type AuthPlugin = 'mysql_native_password' | 'caching_sha2_password' | 'sha256_password'

export function isSupportedPlugin(name: string): name is AuthPlugin {
  return name === 'mysql_native_password' || name === 'caching_sha2_password' || name === 'sha256_password'
}

export function sha1(...parts: Uint8Array[]): Buffer {
  const hash = createHash('sha1')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

export function sha256(...parts: Uint8Array[]): Buffer {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

export function xor(a: Uint8Array, b: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(a.length)
  for (let i = 0; i < a.length; i++) out[i] = (a[i] as number) ^ (b[i % b.length] as number)
  return out
}

/** The first answer to a scramble of 20 bytes; empty for an empty password. */
export function authResponse(plugin: AuthPlugin, password: string, scramble: Buffer, clearIsSafe: boolean): Buffer {
  if (plugin === 'sha256_password') {
    if (password === '') return Buffer.from([0])
    return clearIsSafe ? clearPassword(password) : Buffer.from([1])
  }
  if (password === '') return Buffer.alloc(0)
  const secret = Buffer.from(password)
  if (plugin === 'mysql_native_password') {
    const stage1 = sha1(secret)
    return xor(stage1, sha1(scramble, sha1(stage1)))
  }
  const stage1 = sha256(secret)
  return xor(stage1, sha256(sha256(stage1), scramble))
}

export function clearPassword(password: string): Buffer {
  return Buffer.from(`${password}\0`)
}

export function rsaPassword(password: string, scramble: Buffer, publicKeyPem: string | Buffer): Buffer {
  return publicEncrypt({ key: publicKeyPem, padding: constants.RSA_PKCS1_OAEP_PADDING }, xor(clearPassword(password), scramble))
}
