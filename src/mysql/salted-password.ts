/**
 * The salted form of a password as MySQL keeps it for caching_sha2_password, in `mysql.user.authentication_string`:
 *
 *     $A$005$ · salt of 20 bytes · 43 characters
 *
 * A: SHA-256; 005: thousands of rounds, in hex. The 43 characters are the digest of SHA-crypt (Drepper, "Unix crypt using SHA-256 and SHA-512") with
 * that salt. It proves a password that is given whole; nothing that verifies a scramble can be computed from it.
 */
import { hash, randomBytes, timingSafeEqual } from 'node:crypto'

const alphabet = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const saltBytes = 20
const thousandsOfRounds = 5
const roundsMax = 1_000_000
/** Others are served between two such runs of rounds. */
const roundsAtOnce = 500

type Parts = { readonly rounds: number; readonly salt: Buffer; readonly digest: string }

export async function saltedPassword(password: string, random: (bytes: number) => Buffer = randomBytes): Promise<Buffer> {
  const salt = random(saltBytes)
  for (let i = 0; i < saltBytes; i++) {
    const byte = (salt[i] as number) & 0x7f
    salt[i] = byte === 0 || byte === 0x24 ? byte + 1 : byte
  }
  const digest = await shaCrypt(Buffer.from(password), salt, thousandsOfRounds * 1000)
  return Buffer.concat([Buffer.from(`$A$${thousandsOfRounds.toString(16).padStart(3, '0').toUpperCase()}$`), salt, Buffer.from(digest)])
}

/** Null: none that we can verify. */
export function saltedParts(salted: Uint8Array): Parts | null {
  const text = Buffer.from(salted).toString('latin1')
  const match = /^\$A\$([0-9A-Fa-f]{3})\$([^]{20})([./0-9A-Za-z]{43})$/.exec(text)
  if (match === null) return null
  const rounds = Number.parseInt(match[1] as string, 16) * 1000
  return rounds === 0 || rounds > roundsMax ? null : { rounds, salt: Buffer.from(match[2] as string, 'latin1'), digest: match[3] as string }
}

export async function isSaltedPassword(password: Uint8Array, salted: Uint8Array): Promise<boolean> {
  const parts = saltedParts(salted)
  if (parts === null) return false
  return timingSafeEqual(Buffer.from(await shaCrypt(password, parts.salt, parts.rounds)), Buffer.from(parts.digest))
}

async function shaCrypt(password: Uint8Array, salt: Uint8Array, rounds: number): Promise<string> {
  const b = sha(password, salt, password)
  const first: Uint8Array[] = [password, salt, repeated(b, password.length)]
  for (let bits = password.length; bits > 0; bits >>= 1) first.push((bits & 1) === 1 ? b : password)
  let a = sha(...first)
  const p = repeated(sha(...Array.from({ length: password.length }, () => password)), password.length)
  const s = repeated(sha(...Array.from({ length: 16 + (a[0] as number) }, () => salt)), salt.length)
  for (let i = 0; i < rounds; i++) {
    const odd = (i & 1) === 1
    const parts: Uint8Array[] = [odd ? p : a]
    if (i % 3 !== 0) parts.push(s)
    if (i % 7 !== 0) parts.push(p)
    parts.push(odd ? a : p)
    a = sha(...parts)
    if ((i + 1) % roundsAtOnce === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  return encode(a)
}

function sha(...parts: Uint8Array[]): Buffer {
  return hash('sha256', Buffer.concat(parts), 'buffer')
}

function repeated(bytes: Uint8Array, length: number): Buffer {
  return Buffer.alloc(length, length === 0 ? undefined : bytes)
}

function encode(digest: Buffer): string {
  let out = ''
  const put = (bits: number, characters: number): void => {
    for (let i = 0; i < characters; i++) out += alphabet[(bits >> (6 * i)) & 0x3f]
  }
  const at = (i: number): number => digest[i] as number
  for (let i = 0, x = 0, y = 10, z = 20; i < 10; i++) {
    put((at(x) << 16) | (at(y) << 8) | at(z), 4)
    ;[x, y, z] = [(z + 1) % 30, (x + 1) % 30, (y + 1) % 30]
  }
  put((at(31) << 8) | at(30), 3)
  return out
}
