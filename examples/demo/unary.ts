import type { Client, MethodDefinition } from '@grpc/grpc-js'

/** A unary method whose messages are JSON, as a code generator would write it for protocol buffers. */
export function unary<Request, Response>(
  path: string,
): MethodDefinition<Request, Response> & { readonly requestStream: false; readonly responseStream: false } {
  const write = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: write,
    requestDeserialize: (bytes: Buffer) => JSON.parse(String(bytes)) as Request,
    responseSerialize: write,
    responseDeserialize: (bytes: Buffer) => JSON.parse(String(bytes)) as Response,
  }
}

/** Calls it. */
export function callUnary<Request, Response>(
  client: Client,
  method: MethodDefinition<Request, Response>,
  request: Request,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(method.path, method.requestSerialize, method.responseDeserialize, request, (error, answer) =>
      answer === undefined ? reject(error) : resolve(answer),
    )
  })
}
