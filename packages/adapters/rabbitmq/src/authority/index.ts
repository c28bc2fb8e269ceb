/**
 * `@portcullis/rabbitmq/authority`: a guard as the authority of a RabbitMQ broker, by the broker's own plugin
 * `rabbitmq_auth_backend_http`. The broker asks it who may log in, enter a virtual host, and configure, write or read
 * what is in it.
 *
 * Not for brokers that reach it over a network without mutual TLS, and not for several processes behind one address: it
 * remembers in memory who was proven. What the broker has allowed on an open channel it may not ask about again; read
 * what {@link authority} says of that.
 */
export { authority } from './authority.ts'
export type { AuthorityOptions, BrokerOnLoopback, BrokerOverTls, Login, RabbitmqAuthority } from './authority.ts'
export { scopePermissions } from './permissions.ts'
export type { Asked } from './calls.ts'
