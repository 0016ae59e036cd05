/**
 * A TCP proxy that can lose the network between processes on this machine: for all, or only for those of some processes (told by
 * the owner of the other end of each connection, so a fault hits one process and not its neighbours).
 *
 *     await using proxy = await FaultProxy.start({ host: '127.0.0.1', port: 3306 })
 *     proxy.blackhole()            // nothing passes, nothing is told: neither side sees an end
 *     proxy.blackhole({ pid })     // … of this process only
 *     proxy.heal('resume')         // what was sent meanwhile arrives late, as after a long outage
 *     proxy.heal('reset')          // the connections of the outage are gone
 */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'

type Link = { readonly near: Socket; far: Socket | null; lost: boolean }
export type Target = { readonly host: string; readonly port: number }
type Fault = { readonly pid: number | null }

export class FaultProxy implements AsyncDisposable {
  readonly host = '127.0.0.1'
  readonly port: number
  target: Target
  /** Sees what is sent to the target. True: it is not passed on; `pass` passes on something else, or the same later. */
  intercept: ((bytes: Buffer, from: Socket, pass: (bytes: Buffer) => void) => boolean) | null = null
  readonly #server: Server
  readonly #links = new Set<Link>()
  readonly #faults: Fault[] = []
  #answersLost = false

  private constructor(server: Server, port: number, target: Target) {
    this.#server = server
    this.port = port
    this.target = target
    server.on('connection', (socket) => this.#accept(socket))
  }

  static async start(target: Target): Promise<FaultProxy> {
    const server = createServer({ noDelay: true, pauseOnConnect: true })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ port: 0, host: '127.0.0.1' }, resolve)
    })
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    return new FaultProxy(server, address.port, target)
  }

  get connections(): number {
    return this.#links.size
  }

  /** Nothing passes any more, in neither direction; new connections get no further than the kernel. */
  blackhole(of: { pid?: number } = {}): void {
    const fault = { pid: of.pid ?? null }
    this.#faults.push(fault)
    const owned = fault.pid === null ? null : portsOf(fault.pid, this.port)
    for (const link of this.#links) if (owned === null || owned.has(link.near.remotePort ?? 0)) lose(link)
  }

  /** What is connected now hangs for good; who connects anew gets through. */
  loseConnected(): void {
    for (const link of this.#links) lose(link)
  }

  /** Requests arrive and are carried out; what the other side answers is lost. */
  loseAnswers(): void {
    this.#answersLost = true
  }

  /** Ends all faults. */
  heal(how: 'resume' | 'reset' = 'reset'): void {
    this.#faults.length = 0
    // An answer that was dropped leaves a hole in its connection.
    if (this.#answersLost) this.cut()
    this.#answersLost = false
    for (const link of this.#links) {
      if (!link.lost) continue
      if (how === 'reset') {
        link.near.resetAndDestroy()
        link.far?.resetAndDestroy()
        continue
      }
      link.lost = false
      if (link.far === null) this.#reach(link)
      else {
        link.near.resume()
        link.far.resume()
      }
    }
  }

  /** Ends every connection at once, as a firewall that forgets its table does. */
  cut(): void {
    for (const link of this.#links) {
      link.near.resetAndDestroy()
      link.far?.resetAndDestroy()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.#links) {
      link.near.destroy()
      link.far?.destroy()
    }
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #accept(near: Socket): void {
    const link: Link = { near, far: null, lost: false }
    this.#links.add(link)
    near.on('error', () => undefined)
    near.on('close', () => {
      this.#links.delete(link)
      // A peer that hears nothing does not hear of the end either: it is told when the network is back.
      if (!link.lost) link.far?.destroy()
    })
    if (this.#isLost(near)) lose(link)
    else this.#reach(link)
  }

  #isLost(near: Socket): boolean {
    return this.#faults.some(({ pid }) => pid === null || portsOf(pid, this.port).has(near.remotePort ?? 0))
  }

  #reach(link: Link): void {
    const { near } = link
    const far = connect({ ...this.target, noDelay: true })
    link.far = far
    far.on('error', () => near.resetAndDestroy())
    far.on('close', () => {
      if (!link.lost) near.destroy()
    })
    far.on('connect', () => {
      const pass = (bytes: Buffer): void => void far.write(bytes)
      forward(near, far, link, (bytes) => this.intercept?.(bytes, near, pass) === true)
      forward(far, near, link, () => this.#answersLost)
      if (!link.lost) near.resume()
    })
  }
}

/** By hand and not by pipe(): a lost link must stay stopped whatever drains. */
function forward(from: Socket, to: Socket, link: Link, drop: (bytes: Buffer) => boolean): void {
  from.on('data', (bytes) => {
    if (drop(bytes)) return
    if (!to.write(bytes)) from.pause()
  })
  to.on('drain', () => {
    if (!link.lost) from.resume()
  })
  from.on('end', () => to.end())
}

function lose(link: Link): void {
  link.lost = true
  link.near.pause()
  link.far?.pause()
}

/** Local ports of this process's connections to `to`, from /proc (Linux). */
export function portsOf(pid: number, to: number): Set<number> {
  const inodes = new Set<string>()
  try {
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      try {
        const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1]
        if (inode !== undefined) inodes.add(inode)
      } catch {
        // Closed meanwhile.
      }
    }
  } catch {
    return new Set()
  }
  const hex = to.toString(16).toUpperCase().padStart(4, '0')
  const ports = new Set<number>()
  for (const line of readFileSync('/proc/net/tcp', 'latin1').split('\n').slice(1)) {
    const [, local, remote, , , , , , , inode] = line.trim().split(/\s+/)
    if (remote?.endsWith(`:${hex}`) === true && inode !== undefined && inodes.has(inode))
      ports.add(Number.parseInt(local?.split(':')[1] ?? '0', 16))
  }
  return ports
}
