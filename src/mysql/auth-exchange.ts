/** The conversation between the client's first auth response and the server's OK: handshake and COM_CHANGE_USER alike. */
import { authMarker, cachingSha2, decodeAuthMoreData, decodeAuthSwitch } from '../wire/auth-messages.ts'
import { collation } from '../wire/column-types.ts'
import { frame } from '../wire/frames.ts'
import { authResponse, clearPassword, isSupportedPlugin, rsaPassword, type AuthPlugin } from './auth-client.ts'
import type { Channel, Exchange } from './channel.ts'
import type { ConnectOptions, FlavourName } from './connection.ts'
import { mysqlErrors } from './errors.ts'
import { serverError } from './exchanges.ts'

export function handshakeCollation(options: ConnectOptions, flavour: FlavourName): number {
  if (typeof options.charset === 'number') return options.charset
  return flavour === 'mysql' ? collation.utf8mb4_0900 : collation.utf8mb4
}

/** The packets of the handshake, one at a time. */
export class PacketPromise implements Exchange {
  #queue: { payload: Buffer; nextSequence: number }[] = []
  #wake: (() => void) | null = null
  #error: Error | null = null
  /** Set before the last packet is handed over. */
  isLast: (payload: Buffer) => boolean = (payload) => payload[0] === 0x00 || payload[0] === 0xff

  packet(data: Buffer, start: number, end: number, nextSequence: number): boolean {
    const payload = data.subarray(start, end)
    this.#queue.push({ payload, nextSequence })
    this.#notify()
    return this.isLast(payload)
  }

  fail(error: Error): void {
    this.#error = error
    this.#notify()
  }

  async next(): Promise<{ payload: Buffer; nextSequence: number }> {
    for (;;) {
      const packet = this.#queue.shift()
      if (packet !== undefined) return packet
      if (this.#error !== null) throw this.#error
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  #notify(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }
}

export type AuthContext = {
  server: string
  user: string
  password: string
  plugin: AuthPlugin
  scramble: Buffer
  clearIsSafe: boolean
  allowPublicKey: boolean
}

/** From the first auth response (already sent) to OK. Used by the handshake and COM_CHANGE_USER. */
export async function authenticate(channel: Channel, packets: PacketPromise, context: AuthContext): Promise<void> {
  let { plugin, scramble } = context
  for (;;) {
    const { payload, nextSequence } = await packets.next()
    switch (payload[0]) {
      case 0x00:
        return
      case 0xff:
        throw serverError(context, payload, 0, payload.length)
      case authMarker.switch: {
        const wanted = decodeAuthSwitch(payload)
        if (!isSupportedPlugin(wanted.plugin)) throw mysqlErrors.authPlugin({ ...context, plugin: wanted.plugin, password: undefined })
        plugin = wanted.plugin
        scramble = Buffer.from(wanted.data.subarray(0, 20))
        channel.write(frame(authResponse(plugin, context.password, scramble, context.clearIsSafe), nextSequence))
        break
      }
      case authMarker.moreData: {
        const data = decodeAuthMoreData(payload)
        if (plugin === 'caching_sha2_password' && data.length === 1 && data[0] === cachingSha2.fastDone) break
        if (plugin === 'caching_sha2_password' && data.length === 1 && data[0] === cachingSha2.fullWanted) {
          if (context.clearIsSafe) channel.write(frame(clearPassword(context.password), nextSequence))
          else if (context.allowPublicKey) channel.write(frame(Buffer.from([cachingSha2.requestPublicKey]), nextSequence))
          else throw mysqlErrors.authNeedsTls({ server: context.server, user: context.user })
          break
        }
        channel.write(frame(rsaPassword(context.password, scramble, data), nextSequence))
        break
      }
      default:
        throw mysqlErrors.unexpectedAnswer({
          server: context.server,
          got: `0x${payload[0]?.toString(16)}`,
          wanted: 'an authentication packet',
        })
    }
  }
}
