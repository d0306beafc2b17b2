import type { NextConfig } from 'next';

// Files only: Headgate is the server.
const config: NextConfig = { output: 'export' };

export default config;
