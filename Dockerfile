# A workstation: everything that builds, proves and measures, for every format but TensorRT.
#
#     docker build --tag edgewright .
#     docker run --rm --volume "$PWD:/work" edgewright build path/to/model --out sentiment
FROM python:3.12-slim
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY sdk sdk
COPY converters converters
COPY runtimes runtimes
COPY devices devices
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu torch==2.13.0 \
    && pip install --no-cache-dir '.[host,hub]' \
    && useradd --create-home --uid 1000 user
USER 1000:1000
WORKDIR /work
ENTRYPOINT ["edgewright"]
CMD ["--help"]
