// `node --import ./proxy.mjs`: Node before 24 reads HTTPS_PROXY only so.
import { EnvHttpProxyAgent, setGlobalDispatcher } from "undici";

setGlobalDispatcher(new EnvHttpProxyAgent());
