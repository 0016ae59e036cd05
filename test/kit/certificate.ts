/** Certificates for tests, by the openssl command line: an authority, and a server's for localhost that it signed. */
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export class Certificates {
  readonly dir = mkdtempSync(join(tmpdir(), 'sw-tls-'))
  readonly ca: Buffer
  readonly cert = join(this.dir, 'server.pem')
  readonly key = join(this.dir, 'server.key')
  readonly caFile = join(this.dir, 'ca.pem')

  constructor() {
    chmodSync(this.dir, 0o755)
    const authority = ['-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=test authority']
    this.#openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...authority)
    writeFileSync(join(this.dir, 'names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1')
    this.ca = readFileSync(this.caFile)
    this.make('server')
  }

  /** Another one of the same authority, beside the first. */
  make(name: string): { cert: string; key: string } {
    const [key, cert] = [`${name}.key`, `${name}.pem`]
    this.#openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names']
    this.#openssl('x509', '-req', '-in', `${name}.csr`, '-out', cert, ...signed)
    return { cert: join(this.dir, cert), key: join(this.dir, key) }
  }

  /** In the place of the server's. */
  replaceBy({ cert, key }: { cert: string; key: string }): void {
    copyFileSync(cert, this.cert)
    copyFileSync(key, this.key)
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true })
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { stdio: 'ignore', cwd: this.dir })
  }
}
