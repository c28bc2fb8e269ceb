import type { MethodDefinition } from '@grpc/grpc-js'

const serialize = (text: string): Buffer => Buffer.from(text)
const deserialize = (bytes: Buffer): string => bytes.toString()

/** A method whose messages are texts; one request, and one response or many. */
export function textMethod<const S extends boolean>(
  path: string,
  responseStream: S,
): MethodDefinition<string, string> & { readonly requestStream: false; readonly responseStream: S } {
  return {
    path,
    requestStream: false,
    responseStream,
    requestSerialize: serialize,
    requestDeserialize: deserialize,
    responseSerialize: serialize,
    responseDeserialize: deserialize,
  }
}
