/**
 * The gate's certificate and key, read anew when their files change: sessions that stand go on, new ones get the new certificate. Files that do not fit
 * together (one is written before the other) leave the old ones in force until they do.
 */
import { X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { mainErrors } from './errors.ts'

export type TlsPaths = { readonly cert: string; readonly key: string }

const lookEveryMs = 1_000

export class TlsFiles {
  readonly #paths: TlsPaths
  readonly #log: Log
  #stamp: string
  current: SecureContext

  /** Errors: SW-MAIN-007. */
  constructor(paths: TlsPaths, log: Log) {
    this.#paths = paths
    this.#log = log
    this.#stamp = this.#stampNow()
    this.current = this.#read()
  }

  /** Until aborted. */
  async follow(clock: Clock, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await clock.sleep(lookEveryMs, signal).catch(() => {})
      this.look()
    }
  }

  look(): void {
    const stamp = this.#stampNow()
    if (stamp === this.#stamp) return
    this.#stamp = stamp
    try {
      this.current = this.#read()
    } catch (error) {
      this.#log.warn({ error }, 'the new certificate is not used; the one before stays in force')
    }
  }

  #read(): SecureContext {
    const { cert, key } = this.#paths
    try {
      const pem = readFileSync(cert)
      const context = createSecureContext({ cert: pem, key: readFileSync(key), minVersion: 'TLSv1.2' })
      const { subject, validTo } = new X509Certificate(pem)
      this.#log.info({ cert, subject, validTo }, 'certificate of the gate')
      return context
    } catch (error) {
      throw mainErrors.badCertificate({ cert, key, problem: error instanceof Error ? error.message : String(error) }, error)
    }
  }

  /** By inode too: secrets are often replaced by turning a link. */
  #stampNow(): string {
    return [this.#paths.cert, this.#paths.key]
      .map((path) => {
        try {
          const { mtimeMs, ino, size } = statSync(path)
          return `${mtimeMs} ${ino} ${size}`
        } catch {
          return 'absent'
        }
      })
      .join(' ')
  }
}

/** Both or neither. Errors: SW-MAIN-007. */
export function tlsPaths(cert: string | undefined, key: string | undefined): TlsPaths | null {
  if (cert === undefined && key === undefined) return null
  if (cert === undefined || key === undefined)
    throw mainErrors.badCertificate({ cert: cert ?? '(none)', key: key ?? '(none)', problem: 'one of the two is missing' })
  return { cert, key }
}
