import Foundation

extension Edgewright {
    /// Opens the model that is in this package.
    public static func open(engine: String? = nil, threads: Int = 1) throws -> Edgewright {
        guard let assets = Bundle.module.url(forResource: "assets", withExtension: nil) else {
            throw Failure(code: 1, description: "the package has no assets")
        }
        return try Edgewright(assets: assets, engine: engine, threads: threads)
    }
}
