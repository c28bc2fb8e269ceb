/** The codes of `@portcullis/websocket`, each with its meaning. */
export const websocketErrorCodes = {
  ERR_WEBSOCKET_ORIGIN:
    'A page of an origin that is not allowed wants to connect, or a cookie came without an `Origin`; answered 403 before any credential is judged.',
  ERR_WEBSOCKET_CONNECTIONS:
    'The principal has as many connections as one may have; answered 429, or close code 1013 after a first message.',
  ERR_WEBSOCKET_UNPROVEN: 'As many connections as allowed are waiting for their first message; answered 503.',
  ERR_WEBSOCKET_HANDSHAKE_TIMEOUT:
    'The upgrade could not be judged in time (answered 503), or a first message did not come in time (1008).',
  ERR_WEBSOCKET_FRAME:
    'A session frame that cannot be read or comes out of turn, or something else before a first message has proven the peer; the connection is closed with 1008.',
  ERR_WEBSOCKET_UNREAD: 'The peer has not read what was sent to it and more is to be sent; the connection is cut.',
  ERR_WEBSOCKET_HANDLER_FAILED:
    'A handler, or a listener of a message, threw, and the connection is closed with 1011; or the `onOpen` of a client did, which closes with 1000.',
  ERR_WEBSOCKET_REFUSED: 'The listener did not accept who the client is, and its source has no other credential.',
  ERR_WEBSOCKET_FORBIDDEN: 'The listener does not let this client connect, or ended its connection for good.',
  ERR_WEBSOCKET_UNAVAILABLE: 'The listener cannot be reached, does not speak WebSocket there, or cannot judge at the moment.',
  ERR_WEBSOCKET_CLOSED: 'The connection is not open; nothing was sent, or it is not known whether it arrived.',
  ERR_WEBSOCKET_CREDENTIAL: 'The source yields a kind of credential that a WebSocket handshake has no field for; nothing was sent.',
} as const

/** A code of an error of `@portcullis/websocket`. */
export type WebSocketErrorCode = keyof typeof websocketErrorCodes
