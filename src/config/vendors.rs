//! Vendors that answer in another vendor's format, known by the host of their URL: their prices are their own.

/// Host, and id in the bundled price list.
const VENDORS: &[(&str, &str)] = &[
    ("api.cerebras.ai", "cerebras"),
    ("api.deepseek.com", "deepseek"),
    ("api.fireworks.ai", "fireworks"),
    ("api.groq.com", "groq"),
    ("api.moonshot.ai", "moonshotai"),
    ("api.perplexity.ai", "perplexity"),
    ("api.together.xyz", "together"),
    ("api.x.ai", "x-ai"),
    ("openrouter.ai", "openrouter"),
];

/// Whose prices a server has; none = those of the vendor whose format it speaks.
pub(super) fn catalogue(base_url: &str) -> Option<&'static str> {
    let (_, rest) = base_url.split_once("://")?;
    let host = rest.split(['/', ':']).next()?;
    VENDORS.iter().find(|(known, _)| *known == host).map(|(_, catalogue)| *catalogue)
}
