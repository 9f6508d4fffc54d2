/** The backend that servers of this run have where they ask for none: `npm run test:io` runs the suite on each. */
export const backendHere = process.env.GYRFALCON_IO || 'epoll';
