/** LOAD DATA LOCAL INFILE: the server's question goes to the client, the client's file to the server, as frames. */
import type { Connection } from '../mysql/connection.ts'
import type { ServerConnection } from '../mysql/server-connection.ts'

export class InfileRelay {
  readonly #client: ServerConnection
  readonly #connection: Connection
  #paused = false

  constructor(client: ServerConnection, connection: Connection) {
    this.#client = client
    this.#connection = connection
  }

  start(question: Buffer): void {
    this.#client.write(question)
    this.#client.expectInfile((frame) => {
      if (this.#connection.relayData(frame) || this.#paused) return
      this.#paused = true
      this.#client.pause()
      void this.#connection.drain().then(() => {
        this.#paused = false
        this.#client.resume()
      })
    })
  }
}
