// The adapter has the shape that the SDK's types ask for.
import { BoxClient } from 'box-node-sdk';
import { BrokerAuth, BrokerError } from 'box-token-broker-client';

const auth = new BrokerAuth({
  brokerUrl: 'https://broker.example.com',
  tenant: 'acme',
  credential: async () => 'a.b.c',
});
export const clients: BoxClient[] = [new BoxClient({ auth }), new BoxClient({ auth: auth.withUserSubject('1') })];
export const code = (error: unknown): string | undefined => (error instanceof BrokerError ? error.code : undefined);
