/** Where a server is reached, and who must answer there: what every connection to it begins with. */
import type { ServerRecord } from './records.ts'

export type ServerPlace = ({ host: string; port: number } | { socketPath: string }) & { identity?: string }

export function placeOfServer({ host, port, socketPath, identity }: ServerRecord): ServerPlace {
  return { ...(socketPath === null ? { host, port } : { socketPath }), ...(identity === undefined ? {} : { identity }) }
}
